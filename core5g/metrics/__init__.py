"""What core functions tell of themselves over HTTP, under the names that Open5GS has (2.7.7)."""
