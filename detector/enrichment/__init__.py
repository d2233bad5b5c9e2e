"""What events are enriched with from outside: networks, places, threats, assets, user agents."""
