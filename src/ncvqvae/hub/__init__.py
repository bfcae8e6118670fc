"""From a checkpoint and its figures to a repository on the Hugging Face Hub."""
