"""What the two roles are asked, and how the teacher's proposals are read."""
