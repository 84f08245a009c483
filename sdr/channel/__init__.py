"""What happens to samples between one transmitter and one receiver."""
