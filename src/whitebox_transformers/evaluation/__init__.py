"""Scores of finished runs, and predictions for single images."""
