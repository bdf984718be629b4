"""The messages of senders that speak protobuf; protoc wrote the code from the `.proto` files: `make proto`."""
