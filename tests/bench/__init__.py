"""The benchmarks: what the design promises of speed, measured as ratios within one run (`make bench`)."""
