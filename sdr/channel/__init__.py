"""What happens to samples between one transmit port and one receive port, and at the receiver."""
