"""What renderers say: sentences, cells and numbers as people read them."""
