"""Tables in, plotly figures out; nothing here measures or estimates.

Every text that comes from the user's program passes `base.plain`: plotly reads a
little HTML in labels and hover texts. Colours of ink and lines come from the theme.
"""
