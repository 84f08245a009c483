"""The broker between virtual radios: every receiver gets the sum of all transmitters through their channels."""
