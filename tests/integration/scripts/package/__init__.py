"""A package with training code."""

print("package", __name__)
