"""The loop: propose policies, have them judged, remember every trial."""
