"""Factory mode: many boards tested, labelled and written into one signed manifest; it runs no site."""
