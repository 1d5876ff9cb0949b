"""The OpenAI protocol: what is sent, what comes, and how servers are asked."""
