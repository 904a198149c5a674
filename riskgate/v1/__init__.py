"""Generated from protos/riskgate/v1 by `make proto`; nothing here is edited by hand."""
