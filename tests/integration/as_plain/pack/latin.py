# -*- coding: latin-1 -*-
def load_text():
    return "é"
