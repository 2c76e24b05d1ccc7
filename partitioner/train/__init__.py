"""Exit heads trained while the network stays as it is: a new bundle, whose segments are the old one's."""
