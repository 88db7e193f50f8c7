"""Students: small text encoders that were trained to give the vectors of a bundle's model."""
