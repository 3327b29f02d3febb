"""What a run will need, and what this machine has: `gasp plan` and `gasp doctor`."""
