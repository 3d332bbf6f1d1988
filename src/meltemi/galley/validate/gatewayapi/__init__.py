"""What the rules of the Gateway API's definitions do not say: words that mean nothing, and routes that go nowhere."""
