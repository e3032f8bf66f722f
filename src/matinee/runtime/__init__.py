"""What runs inside a component's environment: inspection, the realtime handler, the batch worker."""
