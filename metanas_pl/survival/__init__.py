"""What a run survives: kills, signals, full disks, dead processes, broken files, tasks not finite."""
