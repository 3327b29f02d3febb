"""The algorithms, one page each (`gasp`, `rlvr`), and what carries them: update, journal, loop."""
