"""A second engine that follows the journal of the first, and how it takes over."""
