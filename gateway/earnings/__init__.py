"""Why a deed earned what it did."""
