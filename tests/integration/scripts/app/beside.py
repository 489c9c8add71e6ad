"""A module in the folder that is run."""


def forward(value):
    return value * 2 + 1
