"""The live half of the field ledger: cases that show in real Envoys what each applied field does."""
