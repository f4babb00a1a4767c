"""Class stores: their files, their cache, and checks of what they hold."""
