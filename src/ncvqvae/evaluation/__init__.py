"""From a checkpoint and a dataset to figures, pictures and a report."""
