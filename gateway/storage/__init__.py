"""Where a site keeps content: names of content (CIDs) first; stores stand behind one interface each (DESIGN D11)."""
