"""What an exported graph can be asked, and what it refuses."""
