"""The Gemini API: what is sent, what comes, and how it is asked."""
