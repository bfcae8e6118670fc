"""What several tests share. Tests import from here, and no test module imports another."""
