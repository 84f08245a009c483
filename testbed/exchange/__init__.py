"""Other tools' networks: read into topologies, and topologies written for other tools."""
