"""Recording -> tables -> findings; nothing here collects, prints or plots."""
