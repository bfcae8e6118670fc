"""The networks: exactly what travels to the Hub with a checkpoint. transformers copies these files flat."""
