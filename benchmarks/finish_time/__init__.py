"""How good finish-time forecasts are on a real export, beside the team's own history."""
