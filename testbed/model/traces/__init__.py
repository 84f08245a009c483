"""Links through time: what a direction of a link is set to, and when; read from files or generated."""
