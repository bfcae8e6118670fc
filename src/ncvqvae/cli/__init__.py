"""The command `ncvqvae`. Each command's options stand beside the function that uses them."""
