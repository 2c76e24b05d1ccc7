"""Joint training: a torch module and all its exits at once.  Ends in a module, and in a bundle."""
