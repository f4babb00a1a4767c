"""Files of strangers: downloaded, looked into and unpickled without trusting them."""
