"""transformers' own tests of models, on ours: `make test-peer`."""
