def load_text():
    return """a
bé"""
