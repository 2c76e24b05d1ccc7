"""From a bundle and labelled samples to a policy file: record, fit, certify."""
