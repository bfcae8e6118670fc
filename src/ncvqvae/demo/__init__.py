"""The Gradio app, which `ncvqvae demo` and the Space serve."""
