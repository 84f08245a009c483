"""Pictures of channels, of what a receiver finds, and of where cells are heard: as numbers, PNG and SVG."""
