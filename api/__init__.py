"""The edge: how people and machines reach Kouan, and how its processes are started, watched and stopped."""
