"""Messages of the interbank standards: MT940 of SWIFT, CAMT of ISO 20022."""
