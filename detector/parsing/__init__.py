"""From the bytes of records to events: parser definitions, recognition of formats, normalization to ECS names."""
