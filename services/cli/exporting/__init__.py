"""`moontide export`: shapes, and where they go."""
