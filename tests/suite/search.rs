//! Search by vectors and by filters. Real PostgreSQL; synthetic vectors.
